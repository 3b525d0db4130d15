/** Label pairs (flat) as buttons that put them into a filter. */
export function Pairs({ flat, pick }: { readonly flat: readonly string[]; pick(term: string): void }) {
  const items = [];
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] ?? "";
    const value = flat[i + 1] ?? "";
    items.push(
      <li key={name}>
        <button type="button" title="Filter by this" onClick={() => pick(filterTerm(name, value))}>
          {name}={value}
        </button>
      </li>,
    );
  }
  return <ul class="pairs mono">{items}</ul>;
}

/** `name=value` as filters are written: quoted where the value has spaces. */
export function filterTerm(name: string, value: string): string {
  return /[\s"]/.test(value) ? `${name}="${value.replaceAll('"', "")}"` : `${name}=${value}`;
}
