// Runs the wanted measurements in an order in which none disturbs another one's data.
import type { Finding } from './findings.ts';
import type { BenchOptions, MeasurementName } from './options.ts';
import { measureAssignment } from './suites/assignment.ts';
import { groupMeasurements, measureConsumerGroups } from './suites/consumer-groups.ts';
import { measureDefinitionLatency } from './suites/definition-latency.ts';
import { measureEvaluation } from './suites/evaluation.ts';
import { measureIngestion } from './suites/ingestion.ts';
import { measureMemory } from './suites/memory.ts';
import { measureResults } from './suites/results.ts';
import { type BenchTarget, openBenchStack } from './support/bench-stack.ts';
import { readStackState, type StackState } from './support/stack-state.ts';

/** `openTarget` is called when a measurement needs a stack; what it acquires goes on `resources`. */
export async function runBenchmarks(
  options: BenchOptions,
  deps: {
    resources: AsyncDisposableStack;
    openTarget: () => Promise<BenchTarget>;
    onProgress: (text: string) => void;
    /** Called once there is a stack, with what it is. */
    onStack: (state: StackState) => void;
  },
): Promise<Finding[]> {
  const { onProgress } = deps;
  const wants = (...names: MeasurementName[]): boolean => names.some((name) => options.only.has(name));
  const findings: Finding[] = [];
  // Before the stack starts: it needs the processor for itself.
  if (wants('evaluation')) findings.push(...(await measureEvaluation(options, onProgress)));
  const needsStack = [...options.only].some((name) => name !== 'evaluation');
  if (!needsStack) return findings;
  const bench = await openBenchStack(await deps.openTarget(), deps.resources);
  deps.onStack(await readStackState(bench));
  // The groups read the topic as it was filled; later measurements write to it.
  if (wants(...groupMeasurements)) findings.push(...(await measureConsumerGroups(bench, options, onProgress)));
  if (wants('memory')) findings.push(...(await measureMemory(bench, options, onProgress)));
  if (wants('ingestion-single', 'ingestion-batch'))
    findings.push(...(await measureIngestion(bench, options, onProgress)));
  if (wants('assignment-new', 'assignment-warm'))
    findings.push(...(await measureAssignment(bench, options, onProgress)));
  if (wants('definitions')) findings.push(...(await measureDefinitionLatency(bench, options, onProgress)));
  if (wants('results')) findings.push(...(await measureResults(bench, options, onProgress)));
  return findings;
}
