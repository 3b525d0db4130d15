import type { ComponentChildren } from "preact";

interface SectionProps {
  /** Its name in the address: `?section=flow`. */
  readonly name: string;
  readonly title: string;
  /** Said beside the title. */
  readonly note?: ComponentChildren;
  readonly children?: ComponentChildren;
}

export function Section({ name, title, note, children }: SectionProps) {
  return (
    <section class="part" aria-labelledby={name}>
      <h2 id={name} tabIndex={-1}>
        {title}
      </h2>
      {note !== undefined && <div class="part-note quiet">{note}</div>}
      {children}
    </section>
  );
}
