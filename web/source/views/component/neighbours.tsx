import { Link } from "../../router.tsx";

/** Blocks that a block has to do with. */
export function Neighbours({ title, ids }: { readonly title: string; readonly ids: readonly string[] }) {
  if (ids.length === 0) return null;
  return (
    <p class="neighbours">
      {title}{" "}
      {ids.map((id, i) => (
        <span key={id}>
          {i > 0 && ", "}
          <Link to={`component/${id}`} class="mono">
            {id}
          </Link>
        </span>
      ))}
    </p>
  );
}
