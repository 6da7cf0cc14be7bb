import type { JSX } from "react";
import { Empty } from "@/kit/Notice";

export default function Backfill(): JSX.Element {
  return <Empty title="Backfill" />;
}
