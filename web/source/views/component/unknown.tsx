import { editDistance } from "../../../../src/lang/suggest.ts";
import type { StatusJson } from "../../agent.ts";
import { Empty } from "../../parts/empty.tsx";
import { localIdOf } from "../../parts/tokens.ts";
import { Link } from "../../router.tsx";

/** Said of an id that the agent does not know, with those that it may have been meant for. */
export function Unknown({ id, status }: { readonly id: string; readonly status: StatusJson | undefined }) {
  const near = nearIds(id, status?.components.map((each) => each.id) ?? []);
  return (
    <Empty title="No such component">
      <p>
        The configuration in force has nothing named <code>{id}</code>. It may have gone with a reload
        {status?.failedReload != null && ", or it is in the text that could not be loaded"}.
      </p>
      {near.length > 0 && (
        <>
          <p>Was one of these meant?</p>
          <ul class="near">
            {near.map((each) => (
              <li key={each}>
                <Link to={`component/${each}`} class="mono">
                  {each}
                </Link>
              </li>
            ))}
          </ul>
        </>
      )}
      <p>
        <Link to="components">All components</Link> · <Link to="system">What the last reload changed</Link>
      </p>
    </Empty>
  );
}

const MAX_NEAR = 5;

/** The ids most like one that does not exist: the same name elsewhere, another label, a slip of the pen. */
function nearIds(id: string, known: readonly string[]): readonly string[] {
  const local = localIdOf(id);
  const name = local.split(".").slice(0, -1).join(".");
  const limit = Math.max(4, Math.floor(local.length / 3));
  return known
    .map((each) => {
      const distance = editDistance(localIdOf(each).toLowerCase(), local.toLowerCase(), limit);
      const isKin = name !== "" && localIdOf(each).startsWith(`${name}.`);
      return { each, distance: isKin ? Math.min(distance, limit) : distance };
    })
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, MAX_NEAR)
    .map(({ each }) => each);
}
