import type { JSX } from "react";
import { Empty } from "@/kit/Notice";

export default function Board(): JSX.Element {
  return <Empty title="Board" />;
}
