import type { ComponentChildren } from "preact";

/** A message in place of content that is not there: what is missing and what to do. */
export function Empty({ title, children }: { readonly title: string; readonly children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Said above a view when the agent did not answer; what was there before stays below it. */
export function Problem({ error }: { readonly error: Error | undefined }) {
  if (error === undefined) return null;
  const text = error instanceof TypeError ? "The agent does not answer. Is it running?" : error.message;
  return (
    <p class="problem" role="alert">
      {text}
    </p>
  );
}
