import type { JSX } from "react";
import { Empty } from "@/kit/Notice";

export default function Backfills(): JSX.Element {
  return <Empty title="Backfills" />;
}
