// The life of a process: settings, logger, ordered start, signals, drain within a deadline, non-zero exit on any surprise.
import {
  type ConfigSchema,
  formatProblems,
  parseSettings,
  type SettingsOf,
  type SettingsShape,
} from '#platform/config/settings.ts';
import { describeError } from '#platform/errors.ts';
import { createLogger, type Logger } from '#platform/telemetry/logger.ts';
import { createMetrics, type Metrics } from '#platform/telemetry/metrics.ts';
import { openTracing, type Tracing, type TracingConfig } from '#platform/telemetry/tracing.ts';

type TelemetrySettings = {
  telemetry: { logLevel: 'debug' | 'info' | 'warn' | 'error'; traces?: TracingConfig };
};

export type ProcessContext<C> = {
  config: C;
  log: Logger;
  metrics: Metrics;
  /** Off unless the process has an address to send traces to. */
  tracing: Tracing;
  /** Acquire resources here in start order; they are released in reverse at the end or when a later start fails. */
  resources: AsyncDisposableStack;
  /** Ends the process with exit code 1 after releasing resources: the one way to report an unexpected failure. */
  fail: (error: unknown) => void;
};

type MainOptions<S extends SettingsShape> = {
  /** Folder name: equals the log field, the metric label and the compose service. */
  service: string;
  config: ConfigSchema<S>;
  /** Starts everything and returns; the process then runs until a signal or `fail`. */
  start: (context: ProcessContext<SettingsOf<S>>) => Promise<void>;
  /** Longest wait for an orderly stop before the process exits anyway, in ms. */
  drainDeadlineMs?: number;
};

/** Runs a process from its settings to its exit. `--check-config` parses the settings and exits. */
export async function runMain<S extends SettingsShape>(options: MainOptions<S>): Promise<void> {
  const parsed = parseSettings(options.config, process.env);
  if (!parsed.ok) {
    process.stderr.write(`${options.service}: ${formatProblems(parsed.problems)}\n`);
    process.exitCode = 2;
    return;
  }
  if (process.argv.includes('--check-config')) {
    process.stdout.write(`${options.service}: settings are valid\n`);
    return;
  }
  const { logLevel: level, traces } = (parsed.settings as unknown as TelemetrySettings).telemetry;
  const log = createLogger({ service: options.service, level });
  const metrics = createMetrics({ service: options.service, processMetrics: true });
  const drainDeadlineMs = options.drainDeadlineMs ?? 20_000;
  const ended = Promise.withResolvers<number>();
  const fail = (error: unknown): void => {
    log.error({ err: error, cause: describeError(error) }, 'process failed');
    ended.resolve(1);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      log.info({ signal }, 'stopping');
      ended.resolve(0);
    });
  }
  const resources = new AsyncDisposableStack();
  const tracing = resources.use(await openTracing(options.service, traces ?? { endpoint: undefined, oneIn: 1 }));
  const started = options.start({ config: parsed.settings, log, metrics, tracing, resources, fail }).then(
    () => log.info('started'),
    (error: unknown) => fail(error),
  );
  let exitCode = await ended.promise;
  const deadline = setTimeout(() => {
    log.error({ drainDeadlineMs }, 'stop took longer than its deadline');
    process.exit(1);
  }, drainDeadlineMs);
  try {
    // A signal during start waits for the start to end, so that nothing is acquired after the release.
    await started;
    await resources.disposeAsync();
  } catch (error) {
    log.error({ err: error, cause: describeError(error) }, 'stop failed');
    exitCode = 1;
  }
  clearTimeout(deadline);
  log.info({ exitCode }, 'stopped');
  process.exit(exitCode);
}
