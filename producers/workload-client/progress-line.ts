// One line of progress that is rewritten in place on a terminal and printed now and then elsewhere.

export type ProgressLine = { readonly update: (text: string) => void; readonly end: () => void };

type Output = Pick<NodeJS.WriteStream, 'write' | 'isTTY'>;

const plainIntervalMs = 5_000;

/** Writes at most ten lines a second on a terminal, one every five seconds elsewhere; `end` writes the last one. */
export function createProgressLine(output: Output, nowMs: () => number): ProgressLine {
  const intervalMs = output.isTTY ? 100 : plainIntervalMs;
  let [lastWrittenAt, pending] = [Number.NEGATIVE_INFINITY, ''];
  const write = (): void => {
    if (pending !== '') output.write(output.isTTY ? `\r\x1b[K${pending}` : `${pending}\n`);
    pending = '';
    lastWrittenAt = nowMs();
  };
  return {
    update: (text) => {
      pending = text;
      if (nowMs() - lastWrittenAt >= intervalMs) write();
    },
    end: () => {
      write();
      if (output.isTTY) output.write('\n');
    },
  };
}
