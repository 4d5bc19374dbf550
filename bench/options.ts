// The command line of `npm run bench`: which measurements, how large, how often.
import { parseArgs } from 'node:util';

export const measurementNames = [
  'postgres-sink',
  'parquet-archiver',
  'metrics-aggregator',
  'dataset-builder',
  'memory',
  'ingestion-single',
  'ingestion-batch',
  'assignment-new',
  'assignment-warm',
  'evaluation',
  'definitions',
  'results',
] as const;
export type MeasurementName = (typeof measurementNames)[number];

export type BenchOptions = {
  readonly only: ReadonlySet<MeasurementName>;
  readonly repetitions: number;
  /** Events that the consumer groups are measured with. */
  readonly events: number;
  /** Units that these events are about. */
  readonly units: number;
  /** Backlog that the memory of each process is watched with. */
  readonly memoryEvents: number;
  /** Units of the experiment whose results are read. */
  readonly resultUnits: number;
  /** How long each HTTP measurement takes, without its warm-up. */
  readonly seconds: number;
  readonly connections: number;
  readonly json: boolean;
  readonly enforce: boolean;
};

export const benchUsage = `Usage: npm run bench -- [options]

Measures this checkout on real components that it starts for itself, and compares it with bare
alternatives measured in turn with it. Takes about half an hour; needs about 8 GB of disk.

  --only NAME          only this measurement; may be given several times. Names:
                       ${measurementNames.slice(0, 5).join(', ')},
                       ${measurementNames.slice(5).join(', ')}
  --repetitions N      how often each is measured (default 5); medians are reported
  --events N           events that the consumer groups work through (default 600000)
  --units N            units that these events are about (default 100000)
  --memory-events N    backlog that memory is watched with (default 2000000)
  --result-units N     units of the experiment whose results are read (default 1000000)
  --seconds N          length of each HTTP measurement (default 10)
  --connections N      connections, and requests under way, of each HTTP measurement (default 32)
  --json               the last line of stdout is one JSON object
  --enforce            exit code 1 when a measurement falls short of its bar
  --help
`;

type Parsed = { ok: true; options: BenchOptions | 'help' } | { ok: false; problems: string[] };

/** Every problem at once. */
export function parseBenchOptions(args: readonly string[]): Parsed {
  const numbers = {
    repetitions: 5,
    events: 600_000,
    units: 100_000,
    'memory-events': 2_000_000,
    'result-units': 1_000_000,
    seconds: 10,
    connections: 32,
  };
  let values: Record<string, unknown>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        only: { type: 'string', multiple: true },
        ...Object.fromEntries(Object.keys(numbers).map((name) => [name, { type: 'string' as const }])),
        json: { type: 'boolean' },
        enforce: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    return { ok: false, problems: [(error as Error).message] };
  }
  if (values.help === true) return { ok: true, options: 'help' };
  const problems: string[] = [];
  const numberOf = (name: keyof typeof numbers): number => {
    const text = values[name];
    if (text === undefined) return numbers[name];
    const number = Number(text);
    if (!Number.isInteger(number) || number < 1)
      problems.push(`--${name} must be a whole number from 1 on, not ${text}`);
    return number;
  };
  const names = (values.only ?? measurementNames) as readonly string[];
  for (const name of names) {
    if (!(measurementNames as readonly string[]).includes(name))
      problems.push(`--only ${name}: there is no such measurement; there are ${measurementNames.join(', ')}`);
  }
  const options: BenchOptions = {
    only: new Set(names as readonly MeasurementName[]),
    repetitions: numberOf('repetitions'),
    events: numberOf('events'),
    units: numberOf('units'),
    memoryEvents: numberOf('memory-events'),
    resultUnits: numberOf('result-units'),
    seconds: numberOf('seconds'),
    connections: numberOf('connections'),
    json: values.json === true,
    enforce: values.enforce === true,
  };
  return problems.length > 0 ? { ok: false, problems } : { ok: true, options };
}
