import type { JSX } from "react";
import { Empty } from "@/kit/Notice";

export default function Partitions(): JSX.Element {
  return <Empty title="Partitions" />;
}
