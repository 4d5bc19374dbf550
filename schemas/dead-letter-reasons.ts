// The closed list of reasons for which a record ends in the dead-letter topic.

export const deadLetterReasons = {
  undecodable: 'The value is not Confluent-framed Avro, or its bytes do not fit the schema they name',
  'unknown-schema': 'The schema id in the value is not in the registry',
  'schema-invalid': 'The schema it was written with cannot be read as the schema of this topic',
  'rule-violated': 'It decodes, but a field breaks a rule of the event contract',
  conflict: 'Another event with the same id and day, but other content, was accepted before',
  'too-large': 'It is larger than the consumer accepts',
  poison: 'Writing it fails every time, alone in its batch too',
} as const;

export type DeadLetterReason = keyof typeof deadLetterReasons;
export type DeadLetterStage = 'decode' | 'validate' | 'sink';
