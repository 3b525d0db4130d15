import type { StatusJson } from "../../agent.ts";
import { Empty } from "../../parts/empty.tsx";

export function ViewerView(_props: { readonly tab: string; readonly status: StatusJson | undefined }) {
  return <Empty title="Not drawn yet" />;
}
