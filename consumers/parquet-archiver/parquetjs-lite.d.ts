// Types of the part of parquetjs-lite that is used; the package ships none.
declare module 'parquetjs-lite' {
  type Field = { type: string; optional?: boolean; compression?: string };
  class ParquetSchema {
    constructor(fields: Record<string, Field>);
  }
  class ParquetWriter {
    static openStream(
      schema: ParquetSchema,
      output: NodeJS.WritableStream,
      options: { rowGroupSize?: number; useDataPageV2?: boolean },
    ): Promise<ParquetWriter>;
    appendRow(row: object): Promise<void>;
    close(): Promise<void>;
  }
  const parquet: { ParquetSchema: typeof ParquetSchema; ParquetWriter: typeof ParquetWriter };
  export default parquet;
}
