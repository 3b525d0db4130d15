import type { TestEvent } from "node:test/reporters";

/** The text that a run of tests prints, from its events. */
export default function summary(source: AsyncIterable<TestEvent>): AsyncGenerator<string, void>;
