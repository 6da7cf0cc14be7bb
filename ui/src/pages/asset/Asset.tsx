import type { JSX } from "react";
import { Empty } from "@/kit/Notice";

export default function Asset(): JSX.Element {
  return <Empty title="Asset" />;
}
