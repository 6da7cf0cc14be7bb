import type { JSX } from "react";
import { Empty } from "@/kit/Notice";

export default function Runs(): JSX.Element {
  return <Empty title="Runs" />;
}
