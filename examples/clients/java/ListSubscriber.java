import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Prints each fresh list of each user: java ListSubscriber GROUP */
public final class ListSubscriber {
    // For MessagePack: new ObjectMapper(new org.msgpack.jackson.dataformat.MessagePackFactory())
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Of each user's last list: what it covers. Keep it beside the list, where you keep that. */
    private static final Map<String, Map<String, Long>> COVERED = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        if (arguments.length < 1) {
            System.err.println("usage: java ListSubscriber GROUP");
            System.exit(1);
        }
        Map<String, Object> settings = Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG,
                System.getenv().getOrDefault("BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
                ConsumerConfig.GROUP_ID_CONFIG, arguments[0],
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
                ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class,
                ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
        String topic = System.getenv().getOrDefault("TOPIC_PREFIX", "") + "recommendations";
        KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings);
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(consumer, main)));
        try (consumer) { // commits how far it has come when it closes
            consumer.subscribe(List.of(topic));
            while (true) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    handle(record.value());
                }
            }
        } catch (WakeupException stopped) {
            // SIGTERM or Ctrl-C
        }
    }

    private static void stop(KafkaConsumer<byte[], byte[]> consumer, Thread main) {
        consumer.wakeup();
        try {
            main.join();
        } catch (InterruptedException ignored) {
            Thread.currentThread().interrupt();
        }
    }

    private static void handle(byte[] value) throws IOException {
        if (value[0] != '{') {
            throw new IOException("a list in MessagePack: start workers with"
                    + " --output-encoding json, or read it with jackson-dataformat-msgpack");
        }
        JsonNode made = JSON.readTree(value);
        if (!made.has("trigger")) {
            return; // the answer to a request, for whoever asked
        }
        String userId = made.get("user_id").asText();
        if (!isNews(userId, made.path("applied"))) {
            System.out.println("passed over " + made.get("rec_id").asText() + " of " + userId);
            return;
        }
        long ageMs = System.currentTimeMillis() - made.at("/trigger/timestamp_ms").asLong();
        StringJoiner items = new StringJoiner(" ");
        made.get("items").forEach(item -> items.add(item.get("item_id").asText()));
        System.out.println(userId + " " + ageMs + " ms after the event: " + items);
    }

    /**
     * Whether a list is newer than the last one of its user: ahead somewhere, behind nowhere.
     * After a failure a worker may send a list again (with the same rec_id), or late.
     */
    private static boolean isNews(String userId, JsonNode applied) {
        Map<String, Long> last = COVERED.getOrDefault(userId, Map.of());
        Map<String, Long> now = new HashMap<>();
        applied.properties().forEach(at -> now.put(at.getKey(), at.getValue().asLong()));
        boolean ahead = now.entrySet().stream()
                .anyMatch(at -> at.getValue() > last.getOrDefault(at.getKey(), -1L));
        boolean behind = now.entrySet().stream()
                .anyMatch(at -> at.getValue() < last.getOrDefault(at.getKey(), -1L));
        if (!ahead || behind) {
            return false;
        }
        COVERED.put(userId, now);
        return true;
    }
}
