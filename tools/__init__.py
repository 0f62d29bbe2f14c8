"""What maintainers run now and then: bad input, faults, Google Colab's versions. In neither wheel."""
