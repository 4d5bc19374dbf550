// Reads the end of a component's log, for messages that say why something failed.
import { open, rename, stat } from 'node:fs/promises';

const shownLogLines = 15;
const readBytes = 64 * 1024;
const keptLogBytes = 20 * 1024 * 1024;

/** Where the next line will be written; 0 when there is no log yet. A long log is put aside first, replacing the one before it. */
export async function beginLog(logPath: string): Promise<number> {
  const size = await stat(logPath).then(
    (found) => found.size,
    () => 0,
  );
  if (size < keptLogBytes) return size;
  await rename(logPath, `${logPath}.1`);
  return 0;
}

/** The last lines written since `from`, and where the rest is. */
export async function describeLogEnd(logPath: string, from: number): Promise<string> {
  const file = await open(logPath);
  try {
    const { size } = await file.stat();
    const length = Math.max(0, Math.min(size - from, readBytes));
    const buffer = Buffer.alloc(length);
    await file.read(buffer, 0, length, size - length);
    const lines = buffer.toString('utf8').trimEnd().split('\n').slice(-shownLogLines);
    return `The end of ${logPath}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
  } finally {
    await file.close();
  }
}
