import type { StatusJson } from "../../agent.ts";
import { Empty } from "../../parts/empty.tsx";

export function LiveView(_props: { readonly id: string; readonly status: StatusJson | undefined }) {
  return <Empty title="Not drawn yet" />;
}
