// Runs the system's C++ compiler: a folder for its files, and its output.
#pragma once
#include <cerrno>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern "C" char** environ;

namespace emulator {

// A temporary folder, removed with all files in it. Its path is empty if it could not be created.
class Folder {
public:
    Folder() {
        const char* parent = std::getenv("TMPDIR");
        path = std::string(parent && *parent ? parent : "/tmp") + "/emulated-nvrtc-XXXXXX";
        if (!mkdtemp(path.data())) path.clear();
    }
    ~Folder() {
        if (DIR* folder = path.empty() ? nullptr : opendir(path.c_str())) {
            while (const dirent* file = readdir(folder)) unlink(in(file->d_name).c_str());
            closedir(folder);
            rmdir(path.c_str());
        }
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::string in(const std::string& name) const { return path + "/" + name; }

private:
    std::string path;
};

inline std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// Runs `command` with its output in the file `output`; returns its exit code, or -1 if it could not be started.
inline int run(const std::vector<std::string>& command, const std::string& output) {
    std::vector<char*> arguments;
    for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    pid_t child = 0;
    const int error = posix_spawnp(&child, arguments[0], &files, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) return -1;
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

} // namespace emulator
