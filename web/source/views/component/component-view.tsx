import type { StatusJson } from "../../agent.ts";
import { Empty } from "../../parts/empty.tsx";

export function ComponentView(_props: { readonly id: string; readonly status: StatusJson | undefined }) {
  return <Empty title="Not drawn yet" />;
}
