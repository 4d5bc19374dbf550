// Settings of a process: read once from the environment into a typed object, with every problem reported together.

export type Parser<T> = { readonly expected: string; readonly parse: (text: string) => T | undefined };

type SettingOptions<T> = { default?: T; optional?: boolean; secret?: boolean };

export type Setting<T> = {
  readonly kind: 'setting';
  readonly name: string;
  readonly parser: Parser<T>;
  readonly description: string;
  readonly secret: boolean;
  readonly defaultValue: T | undefined;
  readonly optional: boolean;
};

export type SettingsShape = { readonly [property: string]: Setting<unknown> | SettingsShape };

export type SettingsOf<S> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : S[K] extends SettingsShape ? SettingsOf<S[K]> : never;
};

/** A rule over several settings; returns the problem in words, or undefined when it holds. */
export type CrossRule<S> = (settings: SettingsOf<S>) => string | undefined;

export type ConfigSchema<S extends SettingsShape = SettingsShape> = { shape: S; rules: readonly CrossRule<S>[] };

export type SettingProblem = { name: string; received: string; expected: string };
export type ParsedSettings<S> = { ok: true; settings: SettingsOf<S> } | { ok: false; problems: SettingProblem[] };

/** A required value; `options.default` gives it a documented default. */
export function setting<T>(
  name: string,
  parser: Parser<T>,
  description: string,
  options: SettingOptions<NoInfer<T>> = {},
): Setting<T> {
  return {
    kind: 'setting',
    name,
    parser,
    description,
    secret: options.secret ?? false,
    defaultValue: options.default,
    optional: options.optional ?? false,
  };
}

/** A value that may be absent: undefined then, never an invented default. */
export function optionalSetting<T>(
  name: string,
  parser: Parser<T>,
  description: string,
  options: { secret?: boolean } = {},
): Setting<T | undefined> {
  return setting<T | undefined>(name, parser, description, { ...options, optional: true });
}

export function defineConfig<const S extends SettingsShape>(
  shape: S,
  rules: readonly CrossRule<S>[] = [],
): ConfigSchema<S> {
  return { shape, rules };
}

function isSetting(value: Setting<unknown> | SettingsShape): value is Setting<unknown> {
  return value.kind === 'setting';
}

/** All settings of a shape in declaration order, for documentation and for checks against docker-compose.yml. */
export function listSettings(shape: SettingsShape): Setting<unknown>[] {
  return Object.values(shape).flatMap((entry) => (isSetting(entry) ? [entry] : listSettings(entry)));
}

/** Reads every setting and reports all problems at once; secrets never appear in a problem. */
export function parseSettings<S extends SettingsShape>(
  schema: ConfigSchema<S>,
  environment: Readonly<Record<string, string | undefined>>,
): ParsedSettings<S> {
  const problems: SettingProblem[] = [];
  const read = (shape: SettingsShape): Record<string, unknown> => {
    const values: Record<string, unknown> = {};
    for (const [property, entry] of Object.entries(shape)) {
      if (!isSetting(entry)) {
        values[property] = read(entry);
        continue;
      }
      const text = environment[entry.name]?.trim();
      if (text === undefined || text === '') {
        if (entry.defaultValue === undefined && !entry.optional) {
          problems.push({ name: entry.name, received: 'nothing', expected: entry.parser.expected });
        }
        values[property] = entry.defaultValue;
        continue;
      }
      const value = entry.parser.parse(text);
      if (value === undefined) {
        problems.push({
          name: entry.name,
          received: entry.secret ? '(a secret, not shown)' : JSON.stringify(text),
          expected: entry.parser.expected,
        });
      }
      values[property] = value;
    }
    return values;
  };
  const settings = read(schema.shape) as SettingsOf<S>;
  if (problems.length === 0) {
    for (const rule of schema.rules) {
      const problem = rule(settings);
      if (problem !== undefined)
        problems.push({ name: '(combination)', received: 'values that exclude each other', expected: problem });
    }
  }
  return problems.length === 0 ? { ok: true, settings } : { ok: false, problems };
}

/** The text printed before a process exits because of its settings. */
export function formatProblems(problems: readonly SettingProblem[]): string {
  const lines = problems.map(
    (problem) => `  ${problem.name}: received ${problem.received}; expected ${problem.expected}`,
  );
  return [`${problems.length} setting${problems.length === 1 ? ' is' : 's are'} wrong:`, ...lines].join('\n');
}

export const text: Parser<string> = { expected: 'a non-empty text', parse: (value) => value };

export function integer(bounds: { min: number; max: number }): Parser<number> {
  return {
    expected: `an integer from ${bounds.min} to ${bounds.max}`,
    parse: (value) => {
      if (!/^-?\d+$/.test(value)) return undefined;
      const parsed = Number(value);
      return parsed >= bounds.min && parsed <= bounds.max ? parsed : undefined;
    },
  };
}

export const flag: Parser<boolean> = {
  expected: 'true or false',
  parse: (value) => (value === 'true' ? true : value === 'false' ? false : undefined),
};

export function oneOf<const T extends readonly string[]>(values: T): Parser<T[number]> {
  return { expected: `one of ${values.join(', ')}`, parse: (value) => values.find((candidate) => candidate === value) };
}

export function url(protocols: readonly string[]): Parser<string> {
  return {
    expected: `a URL starting with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
    parse: (value) => {
      const parsed = URL.canParse(value) ? new URL(value) : undefined;
      return parsed !== undefined && protocols.includes(parsed.protocol) ? value.replace(/\/+$/, '') : undefined;
    },
  };
}

export const hostPortList: Parser<readonly string[]> = {
  expected: 'a comma-separated list of host:port',
  parse: (value) => {
    const entries = value.split(',').map((entry) => entry.trim());
    return entries.every((entry) => /^[^\s:]+:\d{1,5}$/.test(entry)) ? entries : undefined;
  },
};

export const instant: Parser<number> = {
  expected: 'an instant such as 2015-01-01T00:00:00Z',
  parse: (value) => {
    if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/.test(value)) return undefined;
    const milliseconds = Date.parse(value);
    return Number.isNaN(milliseconds) ? undefined : milliseconds;
  },
};
