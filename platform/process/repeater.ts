// Does something again and again, with a pause after each time; the pauses do not keep the process.

export type Repeater = { start(): void; stop(): void };

/** `work` never overlaps itself and must not reject. The first time is one `intervalMs` after `start`. */
export function createRepeater(work: () => Promise<void>, intervalMs: number): Repeater {
  let timer: NodeJS.Timeout | undefined;
  let isRunning = false;
  const schedule = (): void => {
    if (!isRunning) return;
    timer = setTimeout(() => void work().finally(schedule), intervalMs).unref();
  };
  return {
    start: () => {
      isRunning = true;
      schedule();
    },
    stop: () => {
      isRunning = false;
      clearTimeout(timer);
    },
  };
}
