import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/**
 * Connector/J as an application with a pool uses it: one connection, asked whether it is alive before each statement, and
 * statements that are prepared at the server and kept.
 *
 * <p>Client.java HOST PORT USER DATABASE OPENING, with SPRINGTIDE_PASSWORD: see README.md for what goes in and out. OPENING is
 * sent on each new connection.
 */
final class Client {
    private static final int ALIVE_SECONDS = 5;
    /** A text, a whole number or null in a line of JSON; a text's inside is the first group. */
    private static final Pattern VALUE = Pattern.compile("\"([^\"\\\\]*+(?:\\\\.[^\"\\\\]*+)*+)\"|-?\\d++|null");
    private static final Pattern UNICODE = Pattern.compile("\\\\u([0-9a-fA-F]{4})");

    private final String url;
    private final Properties properties = new Properties();
    private final String opening;
    private Connection connection;

    private Client(String host, String port, String user, String database, String opening) {
        url = "jdbc:mysql://" + host + ":" + port + "/" + database;
        this.opening = opening;
        properties.put("user", user);
        properties.put("password", System.getenv().getOrDefault("SPRINGTIDE_PASSWORD", ""));
        properties.put("useServerPrepStmts", "true");
        properties.put("cachePrepStmts", "true");
        properties.put("connectTimeout", "10000");
    }

    public static void main(String[] arguments) throws Exception {
        Client client = new Client(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.print(client.answer(values(line)) + "\n");
            out.flush();
        }
    }

    private String answer(List<Object> request) {
        try {
            return request.isEmpty() ? close() : run((String) request.get(0), request.subList(1, request.size()));
        } catch (SQLException error) {
            return failure(error.getErrorCode(), error.getMessage());
        } catch (RuntimeException error) {
            return failure(0, error.toString());
        }
    }

    private String run(String sql, List<Object> values) throws SQLException {
        if (connection != null && !connection.isValid(ALIVE_SECONDS)) {
            close();
        }
        if (connection == null) {
            Connection opened = DriverManager.getConnection(url, properties);
            if (!opening.isEmpty()) {
                try (Statement statement = opened.createStatement()) {
                    statement.execute(opening);
                }
            }
            connection = opened;
        }
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int index = 0; index < values.size(); index++) {
                statement.setObject(index + 1, values.get(index));
            }
            if (!statement.execute()) {
                return "{\"affected\":" + statement.getLargeUpdateCount() + "}";
            }
            try (ResultSet rows = statement.getResultSet()) {
                return "{\"rows\":" + all(rows) + "}";
            }
        }
    }

    private static String all(ResultSet rows) throws SQLException {
        List<String> lines = new ArrayList<>();
        int columns = rows.getMetaData().getColumnCount();
        while (rows.next()) {
            List<String> values = new ArrayList<>();
            for (int column = 1; column <= columns; column++) {
                values.add(quoted(rows.getString(column)));
            }
            lines.add("[" + String.join(",", values) + "]");
        }
        return "[" + String.join(",", lines) + "]";
    }

    private String close() {
        Connection before = connection;
        connection = null;
        if (before != null) {
            try {
                before.close();
            } catch (SQLException error) {
                System.err.println("close: " + error.getMessage());
            }
        }
        return "{}";
    }

    private static String failure(int code, String message) {
        return "{\"error\":{\"code\":" + code + ",\"message\":" + quoted(String.valueOf(message)) + "}}";
    }

    /** The values of a line like {@code ["SELECT ?", 5, null]}. */
    private static List<Object> values(String line) {
        List<Object> values = new ArrayList<>();
        for (MatchResult match : VALUE.matcher(line).results().toList()) {
            if (match.group(1) != null) {
                values.add(unquoted(match.group(1)));
            } else {
                values.add(match.group().equals("null") ? null : (Object) Long.valueOf(match.group()));
            }
        }
        return values;
    }

    private static String unquoted(String inside) {
        // An escaped backslash in front of a "u" is none of the other's.
        String[] parts = inside.split("\\\\\\\\", -1);
        for (int index = 0; index < parts.length; index++) {
            String plain = parts[index].replace("\\/", "/");
            plain = UNICODE.matcher(plain).replaceAll(match -> java.util.regex.Matcher.quoteReplacement(
                    octal((char) Integer.parseInt(match.group(1), 16))));
            parts[index] = plain.translateEscapes();
        }
        return String.join("\\", parts);
    }

    /** A control character as an escape that {@code translateEscapes} knows; any other as it is. */
    private static String octal(char unit) {
        return unit < ' ' ? "\\%03o".formatted((int) unit) : String.valueOf(unit);
    }

    private static String quoted(String text) {
        if (text == null) {
            return "null";
        }
        StringBuilder quoted = new StringBuilder("\"");
        for (char unit : text.toCharArray()) {
            if (unit == '"' || unit == '\\') {
                quoted.append('\\').append(unit);
            } else if (unit < ' ') {
                quoted.append("\\u%04x".formatted((int) unit));
            } else {
                quoted.append(unit);
            }
        }
        return quoted.append('"').toString();
    }
}
