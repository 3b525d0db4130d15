import { Empty } from "../../parts/empty.tsx";

export function GraphView(_props: { readonly moduleId: string }) {
  return <Empty title="Not drawn yet" />;
}
