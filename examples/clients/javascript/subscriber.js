// Prints each fresh list of each user: node subscriber.js GROUP

import { decode } from "@msgpack/msgpack";
import { Kafka, logLevel } from "kafkajs";

const brokers = (process.env.BOOTSTRAP_SERVERS ?? "127.0.0.1:9092").split(",");
const groupId = process.argv[2];
const topic = (process.env.TOPIC_PREFIX ?? "") + "recommendations";
if (!groupId) {
  console.error("usage: node subscriber.js GROUP");
  process.exit(1);
}

// Of each user's last list: what it covers. Keep it beside the list, where you keep that.
const covered = new Map();

// Whether a list is newer than the last one of its user: ahead somewhere, behind nowhere.
// After a failure a worker may send a list again (with the same rec_id), or late.
function isNews(made) {
  const last = covered.get(made.user_id) ?? {};
  const applied = Object.entries(made.applied ?? {});
  const ahead = applied.some(([place, offset]) => offset > (last[place] ?? -1));
  const behind = applied.some(([place, offset]) => offset < (last[place] ?? -1));
  if (!ahead || behind) return false;
  covered.set(made.user_id, made.applied);
  return true;
}

function handle(value) {
  const made = value[0] === 0x7b ? JSON.parse(value.toString()) : decode(value); // 0x7b is {
  if (!made.trigger) return; // the answer to a request, for whoever asked
  if (!isNews(made)) {
    console.log(`passed over ${made.rec_id} of ${made.user_id}`);
    return;
  }
  const ageMs = Date.now() - made.trigger.timestamp_ms;
  const items = made.items.map((item) => item.item_id).join(" ");
  console.log(`${made.user_id} ${ageMs} ms after the event: ${items}`);
}

const kafka = new Kafka({ clientId: "shop", brokers, logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId });

for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, async () => {
    await consumer.disconnect(); // commits how far it has come
    process.exit(0);
  });

await consumer.connect();
await consumer.subscribe({ topics: [topic], fromBeginning: true });
await consumer.run({ eachMessage: async ({ message }) => handle(message.value) });
