// Commands of the documents that the test of documents does not run itself, each with the test that does or with why none can.

type CommandElsewhere = { readonly command: RegExp } & ({ readonly test: string } | { readonly notRun: string });

export const commandsRunElsewhere: readonly CommandElsewhere[] = [
  { command: /^npm start\b/, test: 'tests/end-to-end/npm-start.test.ts' },
  { command: /^npm run (up|down)\b/, test: 'infra/local/stack.integration.test.ts' },
  { command: /^npm (test|run check)\b/, test: '.ci/run' },
  { command: /^npm run generate$/, test: 'infra/generate/generate.test.ts' },
  { command: /^npm run schemas:release\b/, test: 'schemas/history/schema-history.test.ts' },
  { command: /^npm run generate:database\b/, test: 'infra/generate/database-schema.integration.test.ts' },
  { command: /^(npm run -s ops --|ops) dataset\b/, test: 'ops/dataset/dataset.integration.test.ts' },
  { command: /^(npm run -s ops --|ops) jobs\b/, test: 'workers/job-worker/job-worker.integration.test.ts' },
  { command: /^(npm run pipelines\b|python pipelines\/serve\.py)/, test: 'pipelines/pipelines.integration.test.ts' },
  { command: /^(npm run (-s )?train\b|python train_planner\.py )/, test: 'training/training.integration.test.ts' },
  { command: /^python measure_gpu\.py /, test: 'training/tests/test_measure_gpu.py' },
  {
    command: /^(npm run -s ops --|ops) (offline-replay|replay run)\b/,
    test: 'ops/offline-replay/offline-replay.integration.test.ts',
  },
  { command: /^(npm run -s ops --|ops) lineage\b/, test: 'ops/lineage/lineage.integration.test.ts' },
  {
    command: /^(npm run -s ops --|ops) (promote|model history)\b/,
    test: 'ops/promotion/promotion.integration.test.ts',
  },
  { command: /^node workers\/offline-replay\//, test: 'ops/offline-replay/offline-replay.integration.test.ts' },
  { command: /^node workers\/dataset-build\//, test: 'workers/dataset-build/build-dataset.integration.test.ts' },
  { command: /^python3 (-m unittest|run_vectors\.py)/, test: 'clients/python/trialstream-client.test.ts' },
  { command: /^ops guardrails clear\b/, test: 'ops/results/results.integration.test.ts' },
  { command: /^ops off-policy\b/, test: 'ops/off-policy/off-policy.integration.test.ts' },
  { command: /^npm run chaos\b/, test: 'tests/integrity/chaos/chaos.test.ts' },
  { command: /^npm run fuzz\b/, test: 'tests/fuzz/fuzz.integration.test.ts' },
  { command: /^npm run bench\b/, test: 'bench/run-benchmarks.integration.test.ts' },
  { command: /^npm run simulations\b/, test: 'bench/simulations/simulations.test.ts' },
  { command: /^(npm run -s ops --|ops) metabase\b/, test: 'ops/metabase/metabase.integration.test.ts' },
  { command: /^npm run planner\b/, test: 'api/planner-service/planner-service.integration.test.ts' },
  {
    command: /^npx node producers\/planner-traffic\/main\.ts --planner /,
    test: 'api/planner-service/planner-service.integration.test.ts',
  },
  { command: /^npm run lifecycle\b/, notRun: 'takes ten minutes; each of its stages has a test of its own' },
  { command: /^npm run metabase:pictures\b/, notRun: 'writes pictures for people to look at' },
  { command: /^npm run metabase:smoke\b/, notRun: 'no container engine is available' },
  {
    command: /^docker compose\b/,
    notRun: 'no container engine is available; infra/compose/compose.test.ts checks the file',
  },
  { command: /^node bench\//, notRun: 'measures and asserts nothing' },
];

export const findElsewhere = (command: string): CommandElsewhere | undefined =>
  commandsRunElsewhere.find((entry) => entry.command.test(command));

export const isRunElsewhere = (command: string): boolean => findElsewhere(command) !== undefined;
