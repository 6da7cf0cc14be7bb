import type { JSX } from "react";
import { Empty } from "@/kit/Notice";

export default function Checks(): JSX.Element {
  return <Empty title="Checks" />;
}
