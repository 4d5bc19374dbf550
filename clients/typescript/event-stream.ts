// Reads server-sent events from a response body: those of our service, whose data is one line.

/** Calls back with the data of each event until the body ends; `onActivity` is called for every piece, comments included. */
export async function readEventStream(
  body: ReadableStream<Uint8Array>,
  onData: (data: string) => void,
  onActivity: () => void,
): Promise<void> {
  const reader = body
    .pipeThrough<string>(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader();
  for (let text = ''; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    onActivity();
    const messages = (text + value).split('\n\n');
    text = messages.pop()!;
    for (const message of messages) {
      const data = /^data: (.*)$/m.exec(message);
      if (data) onData(data[1]!);
    }
  }
}
