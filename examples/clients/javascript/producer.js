// Sends a click and a purchase of a user: node producer.js USER ITEM [REC_ID]

import { randomUUID } from "node:crypto";
import { Kafka, Partitioners, logLevel } from "kafkajs";

const brokers = (process.env.BOOTSTRAP_SERVERS ?? "127.0.0.1:9092").split(",");
const prefix = process.env.TOPIC_PREFIX ?? "";
const [userId, itemId, recId] = process.argv.slice(2);
if (!itemId) {
  console.error("usage: node producer.js USER ITEM [REC_ID]");
  process.exit(1);
}

const kafka = new Kafka({ clientId: "shop", brokers, logLevel: logLevel.ERROR });
const producer = kafka.producer({
  // The partitioner of Kafka itself. LegacyPartitioner, the default before kafkajs 2, is another.
  createPartitioner: Partitioners.DefaultPartitioner,
});

const event = { user_id: userId, item_id: itemId, timestamp_ms: Date.now() };
if (recId) event.rec_id = recId; // the list in which the user found the item, if it was in one
// With an event_id an event that is sent twice is applied once. A shop has one: the order.
const click = { ...event, action: "view", event_id: randomUUID() };
const purchase = { ...event, quantity: 1, price: 9.5, currency: "EUR", event_id: randomUUID() };

await producer.connect();
try {
  // An error means: it may not be on Kafka, send it again.
  const sent = await producer.sendBatch({
    acks: -1,
    topicMessages: [
      { topic: prefix + "clicks", messages: [{ key: userId, value: JSON.stringify(click) }] },
      { topic: prefix + "purchases", messages: [{ key: userId, value: JSON.stringify(purchase) }] },
    ],
  });
  for (const { topicName, partition, baseOffset } of sent)
    console.log(`sent ${topicName}/${partition}@${baseOffset}`);
} finally {
  await producer.disconnect();
}
