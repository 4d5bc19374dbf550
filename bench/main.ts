// `npm run bench`: measures this checkout beside bare alternatives, on a stack of its own; `--help` says what can be chosen.
import { describeMachine, readMachineState } from './machine-state.ts';
import { benchUsage, parseBenchOptions } from './options.ts';
import { formatReport } from './report.ts';
import { runBenchmarks } from './run-benchmarks.ts';
import { startOwnTarget } from './support/bench-stack.ts';
import { describeStackState, type StackState } from './support/stack-state.ts';

const parsed = parseBenchOptions(process.argv.slice(2));
if (!parsed.ok) {
  for (const problem of parsed.problems) process.stderr.write(`${problem}\n`);
  process.stderr.write('"npm run bench -- --help" lists the options.\n');
  process.exitCode = 2;
} else if (parsed.options === 'help') {
  process.stdout.write(benchUsage);
} else {
  const options = parsed.options;
  const startedAt = performance.now();
  const onProgress = (text: string): void => {
    const seconds = Math.round((performance.now() - startedAt) / 1_000);
    process.stderr.write(`${String(seconds).padStart(5)} s  ${text}\n`);
  };
  const before = await readMachineState();
  process.stdout.write(`${describeMachine(before)}\n`);
  await using resources = new AsyncDisposableStack();
  let stack: StackState | null = null;
  const findings = await runBenchmarks(options, {
    resources,
    openTarget: () => startOwnTarget(resources, onProgress),
    onProgress,
    onStack: (state) => {
      stack = state;
      process.stdout.write(`${describeStackState(state)}\n\n`);
    },
  });
  const after = await readMachineState();
  process.stdout.write(`${formatReport(findings)}\n\nAt the end: ${describeMachine(after)}\n`);
  if (options.json) {
    const { only, ...sizes } = options;
    process.stdout.write(
      `${JSON.stringify({ machine: { before, after }, stack, options: { ...sizes, only: [...only] }, findings })}\n`,
    );
  }
  if (options.enforce && findings.some(({ ok }) => !ok)) process.exitCode = 1;
}
