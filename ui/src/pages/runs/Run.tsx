import type { JSX } from "react";
import { Empty } from "@/kit/Notice";

export default function Run(): JSX.Element {
  return <Empty title="Run" />;
}
