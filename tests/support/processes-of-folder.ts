// Finds processes that belong to a local stack: those that name its folder on their command line or write into it.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

function orElse<T>(read: () => T, whenGone: T): T {
  try {
    return read();
  } catch {
    // It ended while we looked, or belongs to another user.
    return whenGone;
  }
}

/** `pid command line` of each; Linux only, like the stack's own process identities. */
export function listProcessesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const place = join('/proc', pid);
      const command = orElse(() => readFileSync(join(place, 'cmdline'), 'utf8'), '')
        .replaceAll('\0', ' ')
        .trim();
      const files = orElse(() => readdirSync(join(place, 'fd')), []).map((fd) =>
        orElse(() => readlinkSync(join(place, 'fd', fd)), ''),
      );
      return command.includes(folder) || files.some((file) => file.startsWith(folder)) ? [`${pid} ${command}`] : [];
    });
}
