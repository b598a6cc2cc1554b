"""What this machine has and uses: processors, memory, disks, networks."""
