// What every command gets from the composition root: settings, output, the confirmation of destructive steps, who acts.
import type { ConfigSchema, SettingsOf, SettingsShape } from '#platform/config/settings.ts';

export type CommandLine = {
  /** Settings from the environment; all problems are printed at once and the process ends with exit code 2. */
  settingsOf<S extends SettingsShape>(schema: ConfigSchema<S>): SettingsOf<S>;
  /** For programs that a command starts. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A line of the result, on stdout. */
  print(text: string): void;
  /** A line about what is going on, on stderr. */
  note(text: string): void;
  /** The command ran, but what it looked at is not in order. */
  reportProblems(): void;
  /**
   * Lets a person confirm by typing `name`; `--yes` does instead. Without a terminal and without `--yes` nothing is done.
   * @throws FatalError when it is not confirmed.
   */
  confirm(name: string, options: { yes: boolean }): Promise<void>;
  /** Who is on record for what is changed. */
  readonly actor: string;
};
