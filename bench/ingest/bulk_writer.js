// BulkWriter as its documentation shows it, without the ramp, which would hold it to 500 a second.
import { db, rows, timed } from './shard.js';

await timed(async () => {
  let written = 0;
  const writer = db.bulkWriter({ throttling: false });
  writer.onWriteResult(() => {
    written += 1;
  });
  for await (const [doc, data] of rows()) {
    writer.set(doc, data, { merge: true });
  }
  await writer.close();
  return written;
});
