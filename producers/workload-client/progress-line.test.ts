// Tests of the progress line: rewritten in place on a terminal, rare elsewhere, and the last state is never lost.

import { expect, test } from 'vitest';
import { createProgressLine } from './progress-line.ts';

function record(isTTY: boolean) {
  const written: string[] = [];
  let nowMs = 0;
  const write = (text: string | Uint8Array) => written.push(String(text)) > 0;
  const line = createProgressLine({ isTTY, write } as NodeJS.WriteStream, () => nowMs);
  const passMs = (ms: number): void => {
    nowMs += ms;
  };
  return { line, written, passMs };
}

test('on a terminal it writes over itself, at most every 100 ms', () => {
  const { line, written, passMs } = record(true);
  line.update('1');
  line.update('2');
  passMs(100);
  line.update('3');
  line.end();
  expect(written).toEqual(['\r\x1b[K1', '\r\x1b[K3', '\n']);
});

test('elsewhere it prints whole lines, at most every five seconds, and the last one at the end', () => {
  const { line, written, passMs } = record(false);
  line.update('1');
  passMs(4999);
  line.update('2');
  line.end();
  expect(written).toEqual(['1\n', '2\n']);
});
