// Processing of a kernel's source before it is compiled, and of the compiler's messages.
#pragma once
#include <cctype>
#include <cstddef>
#include <string>
#include <vector>

namespace emulator {

// Returns `source` with blanks in place of comments, so that a match in it is code.
inline std::string without_comments(std::string source) {
    for (std::size_t at = 0; at + 1 < source.size(); ++at) {
        if (source[at] == '"') {
            while (++at < source.size() && source[at] != '"') at += source[at] == '\\';
        } else if (source[at] == '/' && (source[at + 1] == '/' || source[at + 1] == '*')) {
            const bool line = source[at + 1] == '/';
            std::size_t end = source.find(line ? "\n" : "*/", at + 2);
            end = end == std::string::npos ? source.size() : end + (line ? 0 : 2);
            for (; at < end; ++at) {
                if (source[at] != '\n') source[at] = ' ';
            }
            --at;
        }
    }
    return source;
}

// A reader of the words of a declaration.
struct Words {
    const std::string& text;
    std::size_t at;

    void blanks() {
        while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at]))) ++at;
    }
    // Skips `word` and returns true if it comes next.
    bool take(const std::string& word) {
        blanks();
        if (text.compare(at, word.size(), word) != 0) return false;
        at += word.size();
        return true;
    }
    // Skips an expression in parentheses if it comes next.
    void skip_parentheses() {
        blanks();
        int depth = 0;
        while (at < text.size() && (depth > 0 || text[at] == '(')) {
            depth += (text[at] == '(') - (text[at] == ')');
            ++at;
        }
    }
    std::string name() {
        blanks();
        const std::size_t begin = at;
        while (at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] == '_')) ++at;
        return text.substr(begin, at - begin);
    }
};

// Returns the names of the kernels: `extern "C" __global__ void __launch_bounds__(..) name(`; the bounds may also come
// earlier, or be absent.
inline std::vector<std::string> kernels_of(const std::string& source) {
    const std::string code = without_comments(source);
    const auto bounds = [](Words& words) {
        if (words.take("__launch_bounds__")) words.skip_parentheses();
    };
    std::vector<std::string> names;
    for (std::size_t at = 0; (at = code.find("extern", at)) != std::string::npos; at += 6) {
        Words words{code, at + 6};
        if (!words.take("\"C\"")) continue;
        bounds(words);
        if (!words.take("__global__")) continue;
        bounds(words);
        if (!words.take("void")) continue;
        bounds(words);
        const std::string name = words.name();
        if (!name.empty() && words.take("(")) names.push_back(name);
    }
    return names;
}

// Plants a bug for a test of the tests: "KERNEL\nFROM\nTO" replaces in the program KERNEL.cu the text FROM, which has
// to occur once, by TO, which may have several lines. Returns an error message, or nothing.
inline std::string mutate(std::string& source, const std::string& program, const std::string& mutation) {
    const std::size_t first = mutation.find('\n'), second = mutation.find('\n', first + 1);
    if (second == std::string::npos) return "EMULATED_MUTATION is not KERNEL, FROM and TO, each in a line";
    if (program != mutation.substr(0, first) + ".cu") return {};
    const std::string from = mutation.substr(first + 1, second - first - 1), to = mutation.substr(second + 1);
    const std::size_t at = source.find(from);
    if (from.empty() || at == std::string::npos || source.find(from, at + 1) != std::string::npos) {
        return "EMULATED_MUTATION: '" + from + "' does not occur once in " + program;
    }
    source.replace(at, from.size(), to);
    return {};
}

// Rewrites the compiler's `name.cu:2:5: error` in the form of NVRTC: `name.cu(2): error`.
inline std::string nvrtc_positions(const std::string& log, const std::string& program) {
    std::string out;
    std::size_t at = 0;
    while (at < log.size()) {
        const std::size_t found = log.find(program + ":", at);
        if (found == std::string::npos) break;
        std::size_t end = found + program.size() + 1;
        const std::size_t line = end;
        while (end < log.size() && std::isdigit(static_cast<unsigned char>(log[end]))) ++end;
        out += log.substr(at, line - 1 - at);
        at = line - 1;
        if (end == line) {
            out += log[at++];
            continue;
        }
        out += "(" + log.substr(line, end - line) + ")";
        at = end;
        // The column, which NVRTC does not report.
        if (log[at] == ':') {
            std::size_t column = at + 1;
            while (column < log.size() && std::isdigit(static_cast<unsigned char>(log[column]))) ++column;
            if (column > at + 1) at = column;
        }
    }
    return out + log.substr(at);
}

} // namespace emulator
