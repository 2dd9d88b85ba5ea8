// What is shown in place of something that is not there: what is wrong, and what to do.

import type { ComponentChildren } from "preact";

export function Failure({ title, text, children }: { title: string; text: string; children?: ComponentChildren }) {
  return (
    <section class="failure" role="alert">
      <h1>{title}</h1>
      <p>{text}</p>
      {children}
    </section>
  );
}
