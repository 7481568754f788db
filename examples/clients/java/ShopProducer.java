import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

/** Sends a click and a purchase of a user: java ShopProducer USER ITEM [REC_ID] */
public final class ShopProducer {
    private static final String PREFIX = System.getenv().getOrDefault("TOPIC_PREFIX", "");
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        if (arguments.length < 2) {
            System.err.println("usage: java ShopProducer USER ITEM [REC_ID]");
            System.exit(1);
        }
        String userId = arguments[0];
        Map<String, Object> event = new HashMap<>();
        event.put("user_id", userId);
        event.put("item_id", arguments[1]);
        event.put("timestamp_ms", System.currentTimeMillis());
        if (arguments.length > 2) { // the list in which the user found the item, if it was in one
            event.put("rec_id", arguments[2]);
        }
        // With an event_id an event that is sent twice is applied once. A shop has one: the order.
        Map<String, Object> click = new HashMap<>(event);
        click.put("action", "view");
        click.put("event_id", UUID.randomUUID().toString());
        Map<String, Object> purchase = new HashMap<>(event);
        purchase.putAll(Map.of("quantity", 1, "price", 9.5, "currency", "EUR"));
        purchase.put("event_id", UUID.randomUUID().toString());

        // The default partitioner is the right one: murmur2 of the key. Idempotence is on.
        Map<String, Object> settings = Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG,
                System.getenv().getOrDefault("BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
                ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class,
                ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, StringSerializer.class);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            Future<RecordMetadata> first = send(producer, "clicks", userId, click);
            Future<RecordMetadata> second = send(producer, "purchases", userId, purchase);
            // An exception here means: it may not be on Kafka, send it again.
            System.out.println("sent " + place(first.get()));
            System.out.println("sent " + place(second.get()));
        }
    }

    private static Future<RecordMetadata> send(
            KafkaProducer<String, String> producer,
            String topic,
            String userId,
            Map<String, Object> message)
            throws Exception {
        String value = JSON.writeValueAsString(message);
        return producer.send(new ProducerRecord<>(PREFIX + topic, userId, value));
    }

    private static String place(RecordMetadata sent) {
        return sent.topic() + "/" + sent.partition() + "@" + sent.offset();
    }
}
