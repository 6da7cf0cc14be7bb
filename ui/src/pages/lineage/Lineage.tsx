import type { JSX } from "react";
import { Empty } from "@/kit/Notice";

export default function Lineage(): JSX.Element {
  return <Empty title="Lineage" />;
}
