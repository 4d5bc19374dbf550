// What `npm run lifecycle` tells: stages in words, the commands that a person would type, what was checked, and the last line.
export type StoryCheck = { readonly name: string; readonly ok: boolean };

export type Story = {
  /** Begins a stage: its title, and in a sentence or two what happens and why. */
  stage(title: string, text: string): void;
  /** A fact to look at, indented. */
  tell(text: string): void;
  /** A command as a person would type it. */
  command(text: string): void;
  /** Something that has to hold. */
  check(name: string, ok: boolean, detail?: string): void;
  /** Progress of what takes long, on stderr. */
  progress(text: string): void;
  /** The last lines; true when every check passed. */
  end(): boolean;
};

/** Lines on stdout with the time since the start; progress on stderr. */
export function createStory(write: (line: string) => void, note: (line: string) => void, nowMs: () => number): Story {
  const begin = nowMs();
  const checks: StoryCheck[] = [];
  const seconds = (): number => (nowMs() - begin) / 1000;
  let stages = 0;
  let stageBegin = 0;
  let title = '';
  const endStage = (): void => {
    if (stages > 0) write(`   (${(seconds() - stageBegin).toFixed(0)} s)`);
  };
  return {
    stage: (name, text) => {
      endStage();
      stages += 1;
      [stageBegin, title] = [seconds(), name];
      write(`\n${stages}. ${name}\n   ${text}`);
    },
    tell: (text) => write(`   ${text.replaceAll('\n', '\n   ')}`),
    command: (text) => write(`   $ ${text}`),
    check: (name, ok, detail) => {
      checks.push({ name, ok });
      write(`   ${ok ? 'ok  ' : 'FAIL'} ${name}${detail === undefined ? '' : ` (${detail})`}`);
    },
    progress: (text) => note(`[${seconds().toFixed(0).padStart(4)} s] ${title}: ${text}`),
    end: () => {
      endStage();
      const failed = checks.filter(({ ok }) => !ok);
      write(
        failed.length === 0
          ? `\nThe lifecycle is complete: all ${checks.length} checks passed in ${seconds().toFixed(0)} s.`
          : `\n${failed.length} of ${checks.length} checks FAILED after ${seconds().toFixed(0)} s:\n${failed.map(({ name }) => `  ${name}`).join('\n')}`,
      );
      return failed.length === 0;
    },
  };
}
