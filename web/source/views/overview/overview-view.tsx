import type { StatusJson } from "../../agent.ts";
import { Empty } from "../../parts/empty.tsx";

export function OverviewView(_props: { readonly status: StatusJson | undefined }) {
  return <Empty title="Not drawn yet" />;
}
