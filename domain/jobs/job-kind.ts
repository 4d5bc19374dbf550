// What a kind of job is: a name, its parameters, and the program that does the work; pure, so that submitter and worker agree.

export type JobParameter = {
  readonly description: string;
  readonly required: boolean;
  /** For the message about a wrong value. */
  readonly expected: string;
  /** The value as it is kept, or undefined when the text is not one. */
  readonly parse: (text: string) => string | undefined;
};

export type JobParameters = Readonly<Record<string, string>>;

/** One of our programs. Its last line on stdout is the result as JSON; lines on stderr are its progress; exit code 2 means that no retry helps. */
export type JobProgram = {
  /** File below the root of the installation. */
  readonly entry: string;
  readonly args: readonly string[];
  /** Settings beyond those of the worker. */
  readonly settings: Readonly<Record<string, string>>;
};

export type JobKind = {
  /** Name of its queue and of its row in listings. */
  readonly name: string;
  readonly title: string;
  readonly parameters: Readonly<Record<string, JobParameter>>;
  /** Values for what a submission leaves out, fixed then, so that every attempt does the same. */
  readonly defaults: (now: Date) => JobParameters;
  /** How often it may fail before it is dead. */
  readonly attempts: number;
  /** File in the job's folder from which an interrupted attempt can go on; none when absent. */
  readonly checkpoint?: string;
  /** `folder` is the job's own, the same for all of its attempts; with `resume` the checkpoint is there. */
  readonly program: (job: {
    readonly key: string;
    readonly parameters: JobParameters;
    readonly folder: string;
    readonly resume: boolean;
  }) => JobProgram;
};

export type ParameterProblem = { readonly name: string; readonly received: string; readonly expected: string };

/** Parses the values that were given for a job. All problems are reported at once. */
export function parseJobParameters(
  kind: JobKind,
  given: Readonly<Record<string, string>>,
): { ok: true; parameters: JobParameters } | { ok: false; problems: readonly ParameterProblem[] } {
  const problems: ParameterProblem[] = [];
  const parameters: Record<string, string> = {};
  const known = Object.keys(kind.parameters);
  for (const [name, text] of Object.entries(given)) {
    const parameter = Object.hasOwn(kind.parameters, name) ? kind.parameters[name] : undefined;
    const value = parameter?.parse(text);
    if (value !== undefined) parameters[name] = value;
    else {
      const expected = parameter?.expected ?? `one of the parameters of ${kind.name}: ${known.join(', ') || 'none'}`;
      problems.push({ name, received: JSON.stringify(text), expected });
    }
  }
  for (const [name, { required, expected }] of Object.entries(kind.parameters)) {
    if (required && !Object.hasOwn(given, name)) problems.push({ name, received: 'nothing', expected });
  }
  return problems.length === 0 ? { ok: true, parameters } : { ok: false, problems };
}

/** What a key must look like: it is an id in Redis and the name of a folder. */
export const jobKeyExpectation = 'up to 120 letters, digits, ".", "_" and "-", with a letter first';

export const isJobKey = (text: string): boolean => /^[A-Za-z][A-Za-z0-9._-]{0,119}$/.test(text);

/** A key of its own for a job that nobody named. `suffix` tells two of the same millisecond apart. */
export const createJobKey = (now: Date, suffix: string): string =>
  `at-${now.toISOString().replaceAll(/[-:]/g, '')}-${suffix}`;
