import { cpus as listCpus } from "node:os";

/** `0,2-5` or, with a stride, `0-7:2`; all CPUs for an empty text, undefined for what is none of these. */
export function chosenCpus(text: string): number[] | undefined {
  if (text === "") return listCpus().map((_, cpu) => cpu);
  const chosen: number[] = [];
  for (const part of text.split(",")) {
    const [, first, last = first, stride = "1"] = /^(\d+)(?:-(\d+)(?::(\d+))?)?$/.exec(part) ?? [];
    if (first === undefined) return undefined;
    for (let cpu = Number(first); cpu <= Number(last); cpu += Math.max(1, Number(stride))) chosen.push(cpu);
  }
  return chosen;
}
