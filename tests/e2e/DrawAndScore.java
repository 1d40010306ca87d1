import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Draws an image and scores it, with the platform's own client as it comes: it asks for HTTP/2. */
public final class DrawAndScore {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    private DrawAndScore() {}

    public static void main(String[] arguments) throws Exception {
        String address = arguments[0];
        String draw =
                "{\"model\": \"digits\", \"seed\": 7, \"solver\": {\"name\": \"ddpm\", \"steps\": 3}}";
        String drawn = post(address + "/v1/samples", BodyPublishers.ofString(draw));
        Matcher png = Pattern.compile("\"png\":\"([^\"]+)\"").matcher(drawn);
        if (!png.find()) {
            throw new IllegalStateException(drawn);
        }
        String score =
                "{\"model\": \"digits\", \"images\": [\""
                        + png.group(1)
                        + "\"], \"probes\": 1, \"tolerance_nats\": 5}";
        // Of an unknown length, so in chunks.
        BodyPublisher streamed =
                BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(score.getBytes()));
        System.out.println(post(address + "/v1/likelihoods", streamed));
    }

    private static String post(String address, BodyPublisher body) throws Exception {
        HttpRequest request =
                HttpRequest.newBuilder(URI.create(address))
                        .header("Content-Type", "application/json")
                        .POST(body)
                        .build();
        HttpResponse<String> response = CLIENT.send(request, BodyHandlers.ofString());
        if (response.statusCode() != 200) {
            throw new IllegalStateException(response.statusCode() + " " + response.body());
        }
        return response.body();
    }
}
